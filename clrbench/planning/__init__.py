"""Spec + sizes of the data -> what is to be run; nothing is trained or read here."""
