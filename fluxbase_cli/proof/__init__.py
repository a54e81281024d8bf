"""The proof that no value needs a key: in all locations, columns, databases, open transactions and standbys.

See docs/operators/proof.md.
"""
