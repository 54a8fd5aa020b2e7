"""Names as PostgreSQL stores them."""

import re

LONGEST_NAME = 63
"""Bytes. PostgreSQL cuts longer names (PostgreSQL manual, identifiers and application_name)."""

BEYOND_PRINTABLE_ASCII = re.compile("[^ -~]+")
"""The characters that PostgreSQL does not store of an application_name: each of their bytes becomes
"?" or, from PostgreSQL 16 on, "\\xNN" (PostgreSQL manual, application_name).
"""
