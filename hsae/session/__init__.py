"""One image under one artifact: its latents, what it shows, and what it would be under an edit."""

from hsae.session.concepts import Carried as Carried
from hsae.session.session import Session as Session
