"""Tasks: what is predicted from what, with which loss, judged by which metrics."""
