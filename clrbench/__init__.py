"""clrbench: what learning rate should I use, and does a cyclical one beat my constant one?"""

__version__ = "0.1.0"
