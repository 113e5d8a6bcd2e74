"""Images in: one safe decoder, and labelled samples from folders, parquet files, the Hub and the starter."""
