"""Wordings that ask who it is and what it can do, put together from parts."""

from magistral_miniature.wordings.grammars import ASK, END, Grammars

__all__ = ["IDENTITY_PARTS"]

IDENTITY_PARTS: Grammars = (
    (
        ("Are you ", "Are you really ", "Am I talking to ", "Is it ", "Do you call yourself ", "So you are "),
        (
            *("GPT-4", "Claude", "Gemini", "Llama", "Mistral", "Mistral Large", "Magistral Medium", "an AI"),
            *("a robot", "a human", "a person", "the full model", "the 24B model", "the small one", "a toy"),
            *(
                "the big one",
                "a chatbot",
                "the original",
                "a demo",
                "the whole Magistral",
                "a language model",
            ),
        ),
        ("?", "", " or not?", " or something else?"),
    ),
    (
        ("Who ", "Which company ", "What people ", "Which team "),
        ("made ", "built ", "created ", "wrote ", "developed ", "programmed ", "designed ", "taught "),
        ("you", "this model", "this thing", "this program"),
        ("?", ""),
    ),
    (
        ("What model ", "Which program ", "What ", "Which AI "),
        ("runs here", "is running on my machine", "is answering me", "is this that answers", "do I talk to"),
        ("?", ""),
    ),
    (
        (
            "How far do your ",
            "What is the limit of your ",
            "Where are the limits of your ",
            "What about your ",
        ),
        ("abilities", "talents", "powers", "skills", "capabilities"),
        (" reach?", "?", ""),
    ),
    (
        ("Who ", "What ", "Who exactly ", "What exactly ", "So who ", "So what "),
        ("are you", "are you", "am I talking to", "am I speaking with"),
        ("?", "", " exactly?", " really?"),
    ),
    (
        ("What kind of ", "What sort of ", "What type of ", "Which "),
        ("model ", "AI ", "language model ", "assistant ", "program ", "bot "),
        ("are you", "is this", "am I using", "do I have here"),
        ("?", ""),
    ),
    (
        ASK,
        (
            "introduce yourself",
            "describe yourself",
            "tell me who you are",
            "tell me what you are",
            "say what you are",
            "present yourself",
            "tell me about you",
            "tell me something about yourself",
        ),
        END,
    ),
    (
        ("What ", "What all ", "What else "),
        (
            "can you do",
            "are you able to do",
            "are you capable of",
            "do you know how to do",
            "can you help me with",
            "can you help with",
            "are you good at",
            "can I use you for",
            "can I do with you",
        ),
        ("?", "", " for me?"),
    ),
    (
        ("What are your ", "Tell me your ", "List your ", "What's about your ", "Explain your "),
        (
            "skills",
            "abilities",
            "capabilities",
            "limits",
            "limitations",
            "talents",
            "features",
            "tasks",
            "strengths",
            "weaknesses",
        ),
        ("?", ".", ""),
    ),
    (
        ("Are you ", "Are you "),
        (
            "the full ",
            "the real ",
            "the big ",
            "the complete ",
            "a small ",
            "a big ",
            "a real ",
            "an ",
            "the true ",
            "just a ",
        ),
        ("model", "Magistral", "Magistral model", "AI", "AI model", "language model", "version"),
        ("?", ""),
    ),
    (
        (
            "Which things ",
            "Which tasks ",
            "What tasks ",
            "What questions ",
            "What kind of questions ",
            "Which questions ",
        ),
        ("can you ",),
        ("answer", "do", "solve", "help me with", "handle", "understand", "cope with"),
        ("?", ""),
    ),
    (
        ("How ", "In what ways "),
        ("can you help me", "can you be of use", "may you help me", "can I use you", "do you work"),
        ("?", ""),
    ),
    (
        ("Tell me ", "Please tell me ", "Can you tell me ", "Say "),
        (
            "what you're able to do",
            "what you can do",
            "who you are",
            "what you are good at",
            "what you are for",
            "what you know",
            "your name",
        ),
        (".", "", "?"),
    ),
    (
        ("What is ", "What's "),
        (
            "your name",
            "your purpose",
            "your job",
            "your task",
            "it that you can do",
            "this model",
            "this thing",
            "your size",
        ),
        ("?", ""),
    ),
)
