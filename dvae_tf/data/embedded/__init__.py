"""Datasets that need no download: the packed bits of binarized MNIST, which come with this package.

`NOTICE` names their authors and their license; `python -m dvae_tf.data.embedded.pack` makes the file. The
other dataset that needs no download, `digits`, comes with scikit-learn.
"""
