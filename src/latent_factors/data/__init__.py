"""From atomic files to feature ids: what a data set is, how it is read, split and numbered."""
