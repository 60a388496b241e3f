"""Which recommenders the claims that were also tested on larger data compare."""

CLAIMS = {  # the model whose test ndcg should be larger, and the other
    "directau-beats-bpr": ("directau", "bpr"),
    "directau-beats-lightgcn": ("directau", "lightgcn"),
    "graph-helps-directau": ("directau_graph", "directau"),
    "cml-beats-bpr": ("cml", "bpr"),
    "features-help-cml": ("cml_features", "cml"),
    "sasrec-beats-gru4rec": ("sasrec", "gru4rec"),
    "sasrec-beats-markov": ("sasrec", "markov"),
    "sasrec-beats-neighbours": ("sasrec", "itemknn_last"),
    "neighbours-match-gru4rec": ("itemknn_last", "gru4rec"),
}
