from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdxf.errors import GroupsError
from deepdxf.evaluate import (
    CUTS,
    METRICS,
    Rankings,
    bootstrap,
    evaluate,
    measures,
    rank,
    read_rankings,
    size_bucket,
    write_rankings,
)
from deepdxf.groups import Protocol, Query


def ranking(**hits: str) -> Rankings:
    """Rankings of one-letter files: ``ranking(q="abc")``."""
    files = tuple(sorted(set("".join(hits.values()))))
    return Rankings(
        files,
        {query: np.array([files.index(f) for f in order], np.int32) for query, order in hits.items()},
        {query: -np.arange(len(order), dtype=np.float32) for query, order in hits.items()},
    )


def protocol(*queries: Query) -> Protocol:
    return Protocol(queries, {}, 0)


def ask(
    file: str, relevant: str | dict[str, float], neutral: str = "", kind: str = "revision", edit: str = ""
) -> Query:
    grades = dict.fromkeys(relevant, 1.0) if isinstance(relevant, str) else relevant
    return Query(file, f"group of {file}", kind, edit, grades, frozenset(neutral))


# --- measures --------------------------------------------------------------------------------------------------------


def test_measures_worked_by_hand():
    # hits: right (3), wrong, right (1), wrong; one more (2) was never found
    result = measures(np.array([3.0, 0, 1, 0]), np.array([3.0, 1, 2]))
    assert result["mAP"] == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert result["P@1"] == 1 and result["MRR"] == 1
    assert result["AUC"] == pytest.approx((2 + 1 + 0) / (2 * 3))  # wrong ones below each of the three
    assert result["AP@10"] == pytest.approx((1 / 1 + 2 / 3) / 3)
    assert result["Recall@10"] == pytest.approx(2 / 3)
    assert result["nDCG@10"] == pytest.approx((3 + 1 / 2) / (3 + 2 / math.log2(3) + 1 / 2))


def test_first_hit_wrong():
    result = measures(np.array([0.0, 0, 0, 1]), np.array([1.0]))
    assert (result["P@1"], result["MRR"], result["mAP"], result["AUC"]) == (0, 0.25, 0.25, 0)
    assert result["nDCG@10"] == pytest.approx(1 / math.log2(5))


def test_average_precision_is_divided_by_what_is_relevant_not_by_what_was_found():
    result = measures(np.array([1.0] + [0.0] * 40), np.ones(5))
    assert result["AP@10"] == pytest.approx(1 / 5)  # dividing by hits found would say 1


def test_perfect_ranking_of_more_than_k_answers():
    result = measures(np.array([1.0] * 12 + [0.0] * 50), np.ones(12))
    assert [result[m] for m in ("mAP", "P@1", "MRR", "AUC", "AP@10", "AP@20", "nDCG@10", "Recall@20")] == [1] * 8
    assert result["Recall@10"] == pytest.approx(10 / 12)


def test_cut_falls_between_two_answers():
    grades = np.zeros(25)
    grades[[9, 10]] = 1  # ranks 10 and 11
    result = measures(grades, np.ones(2))
    assert (result["Recall@10"], result["Recall@20"]) == (0.5, 1)
    assert result["AP@10"] == pytest.approx(1 / 10 / 2) and result["AP@20"] == pytest.approx((1 / 10 + 2 / 11) / 2)


def test_nothing_found_and_nothing_wrong():
    nothing = measures(np.zeros(3), np.ones(2))
    assert all(nothing[name] == 0 for name in METRICS)
    alone = measures(np.ones(2), np.ones(2))
    assert math.isnan(alone["AUC"]) and alone["mAP"] == 1


def slow_measures(hits: list[str], query: Query) -> dict[str, float]:
    """The definitions in words, with plain loops over names."""
    hits = [h for h in hits if h != query.file and h not in query.neutral]
    right = query.relevant
    result = {}

    def precision(k: int) -> float:
        return sum(h in right for h in hits[:k]) / k

    def ap(k: int) -> float:
        return sum(precision(i + 1) for i, h in enumerate(hits[:k]) if h in right) / min(k, len(right))

    def dcg(grades: list[float]) -> float:
        return sum(g / math.log2(i + 2) for i, g in enumerate(grades))

    result["mAP"] = sum(precision(i + 1) for i, h in enumerate(hits) if h in right) / len(right)
    result["P@1"] = precision(1) if hits else 0.0
    result["MRR"] = max((1 / (i + 1) for i, h in enumerate(hits) if h in right), default=0.0)
    wrong = [h for h in hits if h not in right]
    ordered = [r in hits and hits.index(r) < hits.index(w) for r in right for w in wrong]
    result["AUC"] = sum(ordered) / len(ordered) if ordered else math.nan
    for k in CUTS:
        result[f"AP@{k}"] = ap(k)
        result[f"Recall@{k}"] = len(set(hits[:k]) & set(right)) / len(right)
        result[f"nDCG@{k}"] = dcg([right.get(h, 0) for h in hits[:k]]) / dcg(sorted(right.values(), reverse=True)[:k])
    return result


names = [chr(i) for i in range(ord("A"), ord("A") + 45)]


@settings(deadline=None)
@given(st.data())
def test_evaluate_equals_slow_reference(data):
    query = data.draw(st.sampled_from(names))
    hits = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    grades = st.sampled_from([1.0, 2.0, 3.0])
    relevant = data.draw(st.dictionaries(st.sampled_from([n for n in names if n != query]), grades, min_size=1))
    neutral = data.draw(st.sets(st.sampled_from(names))) - {query, *relevant}
    asked = ask(query, relevant, "".join(neutral))
    evaluation = evaluate(ranking(**{query: "".join(hits)}), protocol(asked))
    expected = slow_measures(hits, asked)
    np.testing.assert_allclose(evaluation.values[0], [expected[name] for name in METRICS], atol=1e-12)
    assert evaluation.unread_relevant == len(set(relevant) - set(hits))


# --- evaluation ------------------------------------------------------------------------------------------------------


def test_neutral_files_and_the_query_count_as_absent():
    with_them = evaluate(ranking(q="nqamb"), protocol(ask("q", "b", neutral="nm")))
    without = evaluate(ranking(q="ab"), protocol(ask("q", "b")))
    np.testing.assert_array_equal(with_them.values, without.values)
    assert with_them.mean("mAP") == 0.5


def test_means_by_part():
    queries = (
        ask("p/1", {"a": 1}, kind="revision", edit="moved"),
        ask("p/2", {"b": 1}, kind="revision"),
        ask("q/3", {"b": 1}, kind="variant", edit="moved"),
    )
    evaluation = evaluate(ranking(**{"p/1": "ab", "p/2": "ab", "q/3": "ab"}), protocol(*queries), {"p/1": 9, "p/2": 10})
    assert evaluation.mean("mAP") == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert evaluation.mean_of_sources("mAP") == pytest.approx((0.75 + 0.5) / 2)
    figures = {by: {n: (q, m["mAP"]) for n, (q, m) in evaluation.parts(by).items()} for by in evaluation.labels}
    assert figures == {
        "kind": {"revision": (2, 0.75), "variant": (1, 0.5)},
        "source": {"p": (2, 0.75), "q": (1, 0.5)},
        "size": {"below 10": (1, 1.0), "10 to 99": (1, 0.5), "unknown": (1, 0.5)},
        "edit": {"moved": (2, 0.75), "unknown": (1, 0.5)},
    }
    assert list(figures["size"]) == ["below 10", "10 to 99", "unknown"]


def test_unread_drawings_count_as_zero_and_are_named():
    evaluation = evaluate(ranking(q="ab"), protocol(ask("q", "az"), ask("x", "q")))
    assert evaluation.unread == ("x",)
    assert evaluation.mean("mAP") == pytest.approx((1 / 2 + 0) / 2)
    assert evaluation.unread_relevant == 2  # z of q; and q, which is no hit of any ranking here
    assert "not read, whose queries count as 0: 1" in evaluation.table()
    with pytest.raises(GroupsError, match="such as nowhere"):
        evaluate(ranking(q="ab"), protocol(ask("nowhere", "a")))


def test_report_is_json_and_table():
    evaluation = evaluate(ranking(q="ab", r="a"), protocol(ask("q", "b"), ask("r", "a")))
    report = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert report["queries"] == 2 and set(report["metrics"]) == set(METRICS)
    assert report["metrics"]["mAP"]["mean"] == 0.75
    low, high = report["metrics"]["mAP"]["interval"]
    assert low <= 0.75 <= high
    assert report["metrics"]["AUC"]["mean"] == 0  # q alone: r has nothing wrong among its hits
    assert report["by"]["kind"]["revision"]["queries"] == 2
    table = evaluation.table()
    assert "mAP" in table and "0.750" in table and "by source" in table
    only = evaluate(ranking(r="a"), protocol(ask("r", "a")))
    assert json.loads(json.dumps(only.to_json(), allow_nan=False))["metrics"]["AUC"]["mean"] is None
    assert "AUC" not in only.table()


@pytest.mark.parametrize(
    ("entities", "name"),
    [
        (0, "below 10"),
        (9, "below 10"),
        (10, "10 to 99"),
        (9999, "1000 to 9999"),
        (10_000, "from 10000"),
        (None, "unknown"),
    ],
)
def test_size_buckets(entities, name):
    assert size_bucket(entities) == name


# --- bootstrap -------------------------------------------------------------------------------------------------------


def test_intervals_equal_scipy():
    from scipy.stats import bootstrap as reference

    values = np.random.default_rng(1).beta(0.5, 0.3, 300)
    expected = reference((values,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(2))
    low, high = bootstrap(values[:, None], np.arange(300), resamples=4000)[0]
    width = expected.confidence_interval.high - expected.confidence_interval.low
    assert abs(low - expected.confidence_interval.low) < 0.05 * width
    assert abs(high - expected.confidence_interval.high) < 0.05 * width


def test_clusters_are_drawn_whole():
    values = np.random.default_rng(0).random(40)
    copies = bootstrap(np.repeat(values, 5)[:, None], np.repeat(np.arange(40), 5))
    np.testing.assert_allclose(copies, bootstrap(values[:, None], np.arange(40)))
    naive = bootstrap(np.repeat(values, 5)[:, None], np.arange(200))
    assert np.diff(naive)[0] < 0.6 * np.diff(copies)[0]  # copies are not evidence; narrower by about √5


def test_strata_weigh_the_same_whatever_their_size():
    values = np.array([[1.0]] * 90 + [[0.0]] * 10)
    strata = np.array([0] * 90 + [1] * 10)
    np.testing.assert_array_equal(bootstrap(values, np.arange(100), strata), [[0.5, 0.5]])


def test_undefined_values_are_left_out():
    values = np.array([[np.nan, np.nan], [0.5, np.nan], [0.5, np.nan]])
    np.testing.assert_array_equal(bootstrap(values, np.arange(3)), [[0.5, 0.5], [np.nan, np.nan]])


def test_intervals_are_the_same_each_time():
    values = np.random.default_rng(0).random((50, 2))
    np.testing.assert_array_equal(bootstrap(values, np.arange(50)), bootstrap(values, np.arange(50)))
    assert (bootstrap(values, np.arange(50), seed=1) != bootstrap(values, np.arange(50))).any()


# --- rankings --------------------------------------------------------------------------------------------------------


def unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0).astype(np.float32)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), block=st.integers(1, 9))
def test_rank_equals_a_plain_sort(seed, block):
    rng = np.random.default_rng(seed)
    vectors = unit(rng.integers(-2, 3, (12, 3)).astype(float))  # small integers: many ties, some zeros
    files = [f"f{i:02}" for i in rng.permutation(12)]
    turned = unit(rng.integers(-1, 2, (2, 3)).astype(float))
    queries = files[:5]
    result = rank(files, vectors, queries, {files[1]: turned}, block)
    vector = dict(zip(files, vectors, strict=True))
    for query in queries:
        asked = turned if query == files[1] else vector[query][None]
        if not asked.any():
            assert query not in result.hits
            continue
        # different cosines of such vectors differ by more than 1e-5, so rounding parts ties from the rest
        expected = sorted(
            (-round(float(max(a @ vector[f] for a in asked)), 5), f) for f in files if f != query and vector[f].any()
        )
        assert [result.files[i] for i in result.hits[query]] == [f for _, f in expected]
        np.testing.assert_allclose(result.scores[query], [-score for score, _ in expected], atol=2e-5)


def test_order_of_files_does_not_matter():
    vectors = unit(np.random.default_rng(0).normal(size=(30, 4)))
    vectors[10:20] = vectors[:10]
    files = [f"f{i:02}" for i in range(30)]
    one, two = rank(files, vectors, files), rank(files[::-1], vectors[::-1], files[::-1])
    for query in files:
        assert [one.files[i] for i in one.hits[query]] == [two.files[i] for i in two.hits[query]]


def test_query_from_outside_and_unknown_query():
    result = rank(["a", "b"], unit(np.eye(2)), ["x", "y"], {"x": unit(np.array([[1.0, 2.0]]))})
    assert [result.files[i] for i in result.hits["x"]] == ["b", "a"] and "y" not in result.hits


def test_rankings_file_round_trip(tmp_path: Path):
    files = ["ä b/Ø.dxf", "b\nc.dxf", 'd"e.dxf', "f.dxf"]
    rankings = rank(files, unit(np.random.default_rng(0).normal(size=(4, 3))), files)
    path = tmp_path / "out.jsonl"
    write_rankings(path, rankings)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["query"] for line in lines] == sorted(files)
    again = read_rankings(path)
    asked = protocol(*(Query(f, "g", "revision", "", {files[i - 1]: 1.0}, frozenset()) for i, f in enumerate(files)))
    np.testing.assert_array_equal(evaluate(again, asked).values, evaluate(rankings, asked).values)
    for query in files:
        np.testing.assert_allclose(again.scores[query], rankings.scores[query], atol=1e-6)
    write_rankings(path, rankings, depth=2)
    assert all(len(json.loads(line)["hits"]) == 2 for line in path.read_text(encoding="utf-8").splitlines())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.jsonl"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1: not of the form"),
        ('\n{"query": "a"}', "line 2: not of the form"),
        ('{"query": "a", "hits": [["b"]]}', "line 1: not of the form"),
        ('{"query": "a", "hits": [["b", "high"]]}', "line 1: not of the form"),
        ("[1]", "line 1: not of the form"),
        ('{"query": ["a"], "hits": []}', "line 1: not of the form"),
        ('{"query": "a", "hits": [[null, 1]]}', "line 1: not of the form"),
        ('{"query": "a", "hits": [["b", 1], ["b", 0]]}', "line 1: a hit of 'a' stands there twice"),
        ('{"query": "a", "hits": []}\n{"query": "a", "hits": []}', "line 2: the query 'a' stands there twice"),
    ],
)
def test_bad_rankings(tmp_path, text, message):
    path = tmp_path / "bad.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GroupsError, match=message):
        read_rankings(path)


def test_missing_rankings(tmp_path):
    with pytest.raises(GroupsError, match="No such file"):
        read_rankings(tmp_path / "none.jsonl")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("rankings") / "any.jsonl"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        assert read_rankings(path).hits == {}
    except GroupsError as error:
        assert "not of the form" in str(error)
