"""A simulated FreeSWITCH, as far as its CDR modules go: they post each call as it ends.

mod_json_cdr and mod_xml_cdr in all their encodings, with their flaws: a record that no server took
is written to a folder and never sent again.
"""
