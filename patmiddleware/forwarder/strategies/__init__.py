"""Ways of being somebody at the upstream: one file for each (:class:`~patmiddleware.interfaces.Strategy`)."""
