"""Minutes of random work and random trouble on a lab, then an audit of everything; no part of `make test`."""
