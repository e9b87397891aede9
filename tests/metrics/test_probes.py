import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from napari_mmssl.metrics.probes import fit_linear, neighbour_probabilities


@pytest.fixture
def people(rng):
    truth = np.repeat([0, 1, 2], 20)
    features = rng.normal(size=(60, 6)) + np.eye(3, 6)[truth] * 1.5
    order = rng.permutation(60)
    return features[order] * [1, 10, 0.1, 1, 5, 1], truth[order]


def test_the_linear_probe_equals_scikit_learn(people):
    features, truth = people
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    # scikit-learn weighs the sum of losses by C; ours weighs their mean by 1 and the penalty by 0.1.
    theirs = LogisticRegression(C=1 / (0.1 * 60), tol=1e-8, max_iter=5000).fit(standard, truth)
    ours = fit_linear(features, truth, 3, penalty=0.1).probabilities(features)
    np.testing.assert_allclose(ours, theirs.predict_proba(standard), atol=2e-3)


def test_neighbours_vote_as_in_scikit_learn(people):
    features, truth = people
    known, asked = features[:40], features[40:]
    mean, spread = known.mean(axis=0), known.std(axis=0)
    theirs = KNeighborsClassifier(5, metric="cosine").fit((known - mean) / spread, truth[:40])
    ours = neighbour_probabilities(known, truth[:40], asked, 3)
    np.testing.assert_allclose(ours, theirs.predict_proba((asked - mean) / spread))


def test_units_of_a_feature_do_not_matter(people, rng):
    features, truth = people
    other = features * rng.uniform(0.01, 100, 6) + rng.normal(size=6)
    one, two = (fit_linear(part, truth, 3).probabilities(part) for part in (features, other))
    np.testing.assert_allclose(one, two, atol=1e-3)
    near = [neighbour_probabilities(part, truth, part, 3) for part in (features, other)]
    np.testing.assert_allclose(near[0], near[1])


def test_noise_beside_few_people_asks_for_a_strong_penalty(rng):
    truth = np.repeat([0, 1], 6)
    probabilities = fit_linear(rng.normal(size=(12, 200)), truth, 2).probabilities(rng.normal(size=(300, 200)))
    sure = fit_linear(rng.normal(size=(12, 200)), truth, 2, penalty=1e-3).probabilities(rng.normal(size=(300, 200)))
    assert probabilities.max(axis=1).mean() < sure.max(axis=1).mean()


def test_a_class_that_nobody_has_and_a_feature_that_never_changes_do_no_harm(people):
    features, truth = people
    constant = np.concatenate([features, np.ones((60, 1))], axis=1)
    probabilities = fit_linear(constant, truth, 4).probabilities(constant)
    assert np.isfinite(probabilities).all()
    assert probabilities[:, 3].max() < 0.05
    assert neighbour_probabilities(constant[:3], truth[:3], constant, 4).sum(axis=1) == pytest.approx(1)
