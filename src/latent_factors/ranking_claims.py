"""Which recommenders the claims that were also tested on larger data compare."""

SIMPLE = ("itemknn", "ease", "ials")

CLAIMS = {  # the models of which the best by validation should have the larger test ndcg, and the others
    "lightgcn-beats-mf": (("lightgcn",), ("bpr",)),
    "neumf-beats-mf": (("neumf_implicit",), ("bpr",)),
    "gradients-beat-simple": (("bpr", "neumf_implicit", "lightgcn"), ("popular", *SIMPLE)),
    "directau-beats-bpr": (("directau",), ("bpr",)),
    "directau-beats-lightgcn": (("directau",), ("lightgcn",)),
    "graph-helps-directau": (("directau_graph",), ("directau",)),
    "directau-beats-simple": (("directau", "directau_graph"), SIMPLE),
    "dccf-beats-lightgcn": (("dccf",), ("lightgcn",)),
    "neighbours-beat-dccf": (("itemknn", "rp3beta", "ease"), ("dccf",)),
    "ssl-helps-towers": (("towers_ssl",), ("towers",)),
    "towers-beat-simple": (("towers_ssl",), ("popular", *SIMPLE)),
    "cml-beats-bpr": (("cml",), ("bpr",)),
    "cml-beats-simple": (("cml",), SIMPLE),
    "features-help-cml": (("cml_features",), ("cml",)),
    "sasrec-beats-gru4rec": (("sasrec",), ("gru4rec",)),
    "sasrec-beats-markov": (("sasrec",), ("markov",)),
    "sasrec-beats-neighbours": (("sasrec",), ("itemknn_last",)),
    "neighbours-match-gru4rec": (("itemknn_last",), ("gru4rec",)),
}
