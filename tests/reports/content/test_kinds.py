"""Cautions of one kind are said once, counted, with what they are about."""

from reports.content.kinds import listed, one_a_kind

NAMES = ("ppo (tuned)", "ppo", "a2c (tuned)", "CartPole-v1", "Hopper-v5")


def test_sentences_that_differ_in_names_and_numbers_are_one_kind() -> None:
    said = one_a_kind(
        [
            "3 of 10 runs of ppo (tuned) failed.",
            "Nothing else.",
            "1 of 12 runs of a2c (tuned) failed.",
            "2 of 10 runs of ppo failed.",
        ],
        NAMES,
    )
    assert said == (
        "3 of 10 runs of ppo (tuned) failed. And 2 more of this kind: a2c (tuned), ppo.",
        "Nothing else.",
    )


def test_what_stands_in_brackets_tells_no_kinds_apart_and_is_not_named() -> None:
    said = one_a_kind(
        [
            "The runs of CartPole-v1 had different budgets (ppo: 10; a2c (tuned): 20).",
            "The runs of Hopper-v5 had different budgets (ppo: 1 or 3; ppo (tuned): 2; x: 9).",
        ],
        NAMES,
    )
    assert len(said) == 1
    assert said[0].endswith("And 1 more of this kind: Hopper-v5.")


def test_enumerations_of_other_lengths_are_one_kind() -> None:
    said = one_a_kind(
        [
            "ppo has uneven numbers of runs: 3 of CartPole-v1, 1 of Hopper-v5.",
            "a2c (tuned) has uneven numbers of runs: 2 of CartPole-v1, 4 of Hopper-v5, 1 of ppo.",
        ],
        NAMES,
    )
    assert len(said) == 1


def test_other_words_are_another_kind_and_one_case_stays_as_it_is() -> None:
    sentences = ["ppo has no run of Hopper-v5.", "ppo has one run of Hopper-v5."]
    assert one_a_kind(sentences, NAMES) == tuple(sentences)
    assert one_a_kind(["100 % {0} \\1 (x", "100 % {0} \\1 (x"], ()) == ("100 % {0} \\1 (x",)


def test_very_many_cases_are_counted_and_the_first_named() -> None:
    names = [f"label{number}" for number in range(1000)]
    (said,) = one_a_kind([f"{name} has one run." for name in names], names)
    assert said == (
        "label0 has one run. And 999 more of this kind: label1, label2, label3, label4, …"
    )
    assert listed(names, 2) == "label0, label1 and 998 more"
    assert listed(names[:2], 2) == "label0, label1"


def test_the_longest_name_counts_and_only_as_a_whole_word() -> None:
    names = ("ppo", "ppo_lstm", "ppo_lstm2", "a\0b")
    said = one_a_kind(["ppo runs.", "ppo_lstm runs.", "ppo_lstm3 runs.", "a\0b runs."], names)
    assert said == ("ppo runs. And 1 more of this kind: ppo_lstm.", "ppo_lstm3 runs.", "a\0b runs.")
