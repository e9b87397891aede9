"""The topology losses of TACO as slow loops, token by token, straight from the formulas."""

import numpy as np


def distance(a, b):
    return 1.0 - float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b))


def neighbours_of(i, tokens, places, usable, k, kind, radius):
    """Indices of the k nearest usable tokens of token i, itself excluded."""
    if not usable[i]:
        return []
    found = []
    for j in range(len(tokens)):
        apart = float(np.linalg.norm(places[i] - places[j]))
        if j == i or not usable[j] or (kind == "hybrid" and apart > radius):
            continue
        unlike = distance(tokens[i], tokens[j])
        found.append(((apart, unlike) if kind == "spatial" else (unlike,), j))
    return [j for _, j in sorted(found)[:k]]


def intra_loss(anchor, other, neighbours, usable, uniform, margin):
    """L_{A->B}; the n-th draw for token i is the floor(u * count)-th of all tokens that are no neighbours."""
    hinges = []
    for i, near in enumerate(neighbours):
        others = [n for n in range(len(other)) if usable[n] and n != i and n not in near]
        for slot, j in enumerate(near):
            if others:
                n = others[int(uniform[i, slot] * len(others))]
                hinges.append(max(0.0, distance(other[i], other[j]) - distance(other[i], other[n]) + margin))
    return float(np.mean(hinges)) if hinges else 0.0


def mutual_matches(first, second, allowed, least, ratio=1.0):
    """Token of the second person for each of the first, or -1."""
    similarity = [[1 - distance(a, b) if allowed[i, u] else -np.inf for u, b in enumerate(second)]
                  for i, a in enumerate(first)]  # fmt: skip
    matches = [-1] * len(first)
    for i, row in enumerate(similarity):
        u = max(range(len(row)), key=lambda n: row[n])
        column = [other[u] for other in similarity]
        if row[u] == -np.inf or max(range(len(column)), key=lambda n: column[n]) != i or row[u] < least:
            continue
        rivals = [s for n, s in enumerate(row) if n != u] + [s for n, s in enumerate(column) if n != i]
        if 1 - row[u] <= ratio * (1 - max(rivals, default=-np.inf)):
            matches[i] = u
    return np.array(matches)


def partial_loss(target, neighbours, matches, usable, uniform, margin):
    """The hinge in the second person over matched tokens and their matched neighbours."""
    hinges = []
    unmatched = [n for n in range(len(target)) if usable[n] and n not in set(matches.tolist())]
    for i, near in enumerate(neighbours):
        u = matches[i]
        images = [(slot, matches[j]) for slot, j in enumerate(near) if matches[j] >= 0]
        if u < 0:
            continue
        rest = [n for n in range(len(target)) if usable[n] and n != u and n not in {v for _, v in images}]
        others = unmatched or rest
        for slot, v in images:
            if others:
                n = others[int(uniform[i, slot] * len(others))]
                hinges.append(max(0.0, distance(target[u], target[v]) - distance(target[u], target[n]) + margin))
    return float(np.mean(hinges)) if hinges else 0.0
