"""hsae: where does a vision model keep its hierarchy of concepts, and can you move it?

The public names stand in __init__.pyi, once. Each is imported when first used, so that `import hsae` is quick and loads
neither transformers, gradio nor datasets.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
