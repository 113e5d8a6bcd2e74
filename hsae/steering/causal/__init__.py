"""Test whether the model uses a feature for the whole WordNet subtree that names it, or whether it only fires there.

Every feature f with a node a (its best node, measured beforehand) is moved inside the model:
    set    z_f becomes its p999 on images of any class
    off    z_f becomes 0 on images under a that it fires on; "change" then means what is lost, so the sign is turned
and the classes are read at the end, as logits and as probabilities (of which one class gains only what others lose).

    distance(c)     h(LCH(L(a) + c)) - h(a) for a class c outside of L(a), at least 1; 0 inside
    siblings        the classes at the least distance above 0
    advantage       mean change of L(a) - mean change of the siblings
    locality        [sum of gains in L(a) / sum of all gains] / (|L(a)| / C); 1 is chance; logits from their mean
    monotonicity    -Spearman(distance, change of logit): 1 when every step away gains less
Controls: a direction of N(0, cov(x)); another feature of equal firing rate; the best for the node of as many random
directions as there are latents, which is what a dictionary that was never trained has; and the same change judged by
the nodes of other features, shuffled. Ceilings: the node's mean and a probe for it. All are pushed along by the same
norm in the same sense; those that need images are fitted on the half of them that is not moved (`yardsticks`).

At the layer that the classes are read from, a direction that tells a node nearly always raises its classes: the result
there is next to a tautology, and the layers before it are the test.
"""
