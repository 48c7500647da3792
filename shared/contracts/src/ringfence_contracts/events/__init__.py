"""The contracts: one model for each topic.

Pure: without clock, socket, database or logger.
"""
