"""The contracts: one model per topic. A service may import any of them and nothing else's code.

Pure: without clock, socket, database or logger.
"""
