"""The simulated CDR modules of a FreeSWITCH, which post each call when it ends.

These are mod_json_cdr and mod_xml_cdr in all their encodings, with their flaws: a record that no
server accepts is written to a folder and never sent again.
"""
