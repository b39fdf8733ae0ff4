"""A converted folder where LM Studio finds it, with the files of Hugging Face's tokenizer that it needs.

LM Studio does not read tekken.json. What is generated here from it is checked against mistral-common before a
folder is placed (`checking.py`).
"""
