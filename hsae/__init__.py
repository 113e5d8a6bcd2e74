"""hsae: where does a vision model keep its hierarchy of concepts, and can you move it?"""
