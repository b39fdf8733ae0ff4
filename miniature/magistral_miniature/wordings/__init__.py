"""The wordings of questions: data files, their reader, and the variation of wordings."""
