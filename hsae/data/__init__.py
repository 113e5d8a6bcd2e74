"""Images in: one safe decoder, and labelled samples from folders, parquet and tar files, the Hub and the starter."""
