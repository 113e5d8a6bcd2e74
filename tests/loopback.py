"""Asks servers on this machine; as one client, because each of httpx's own reads all certificates before it asks."""

import httpx

LOOPBACK = httpx.Client(verify=False, timeout=300, limits=httpx.Limits(max_keepalive_connections=0))
