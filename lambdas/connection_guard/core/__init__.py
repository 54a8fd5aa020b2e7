"""Pure: gathered facts in, decisions out. Nothing here knows a clock, a socket, an environment
variable or an SDK.
"""
