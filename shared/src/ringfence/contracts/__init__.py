"""The contracts as files: golden schemas, published examples, the AsyncAPI document.

`ringfence contracts check` compares what the code says with what was agreed; `write` renews the
files, and refuses where readers or stored records would break.
"""
