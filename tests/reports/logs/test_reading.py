"""Files that anyone may have written: nothing runs, nothing hangs, nothing grows without end."""

import contextlib
import io
import os
import pickle
import socket
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.logs import archives, evaluations, opening
from reports.logs.archives import read_arrays
from reports.logs.evaluations import read_evaluations, stated_evaluations
from reports.logs.reading import YamlError, plain_yaml, read_json, read_yaml
from reports.logs.records import UnusableError


def reason_of(path: Path) -> str:
    with pytest.raises(UnusableError) as error:
        read_yaml(path)
    return str(error.value)


def test_the_zoos_own_yaml_is_read_and_plain_yaml_too(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(
        "!!python/object/apply:collections.OrderedDict\n- - - b\n    - [1, 2.5, null]\n"
        "  - - a\n    - {c: true}\n"
    )
    assert read_yaml(path) == {"b": [1, 2.5, None], "a": {"c": True}}
    path.write_text("when: 2026-01-01\n1: x\n")
    assert read_yaml(path) == {"when": "2026-01-01", "1": "x"}


@pytest.mark.parametrize(
    "document",
    [
        "!!python/object/apply:os.mkdir ['{trap}']",
        "a: !!python/object/apply:os.mkdir ['{trap}']",
        "!!python/object/new:os.mkdir ['{trap}']",
        "!!python/object/apply:subprocess.run [[mkdir, '{trap}']]",
        "!!python/object/apply:collections.OrderedDict\n"
        "- - - a\n    - !!python/object/apply:os.mkdir ['{trap}']",
        "? !!python/object/apply:os.mkdir ['{trap}']\n: 1",
    ],
)
def test_yaml_that_calls_something_is_refused_by_line(tmp_path: Path, document: str) -> None:
    trap = tmp_path / "sprung"
    path = tmp_path / "config.yml"
    path.write_text(document.format(trap=trap))
    reason = reason_of(path)
    assert "could not determine a constructor" in reason
    assert "(line " in reason
    assert str(tmp_path) not in reason.replace(str(trap), "")
    assert not trap.exists()


def test_the_traps_of_these_tests_do_spring_where_they_are_let(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    yaml.unsafe_load(f"!!python/object/apply:os.mkdir ['{trap}']")
    assert trap.exists()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("a: [1", "is not valid YAML (line "),
        ("just text", "does not hold a mapping"),
        ("", "does not hold a mapping"),
        ("a: &x [1]\nb: [*x, *x]", "uses YAML aliases"),
        ("a: &a\n  <<: *a", "uses YAML aliases"),
        ("{" * 500 + "}" * 500, "nested too deeply"),
        ("a: " + "[" * 60 + "]" * 60, "nested too deeply"),
        ("a: [" + "1," * 100_001 + "]", "too many values"),
        ("!!python/object/apply:collections.OrderedDict [1, 2]", "one list of pairs"),
        ("!!python/object/apply:collections.OrderedDict {a: 1}", "one list of pairs"),
        ("!!python/object/apply:collections.OrderedDict [[1]]", "cannot be read"),
        ("a: " + "9" * 5000, "a number of 5,000 characters (line 1, column 4)"),
        ("{[1]: 2}", "is not read"),
        ("a: \x01", "cannot be read"),
        ("a: \x00", "cannot be read"),
        ("a: 0x" + "f" * 5000, "a number of 5,002 characters"),
        ("a: " + "1:" * 500_000 + "1", "a number of 1,000,001 characters"),
        ("a: " + "1:" * 500_000 + "1.5", "a number of 1,000,003 characters"),
        ("a: !!timestamp x", "cannot be read (AttributeError)"),
        ("a: 2001-99-99", "cannot be read (ValueError)"),
        ("a: !!bool x", "cannot be read (KeyError)"),
        ("a: !!int ''", "cannot be read (IndexError)"),
        ("a: !!int [1]", "is not read: expected a scalar node"),
        ("a: !!float x", "cannot be read (ValueError)"),
        ("a: !!binary é", "is not read: failed to convert base64"),
        ("a: !!omap [1]", "is not read: expected a mapping of length 1"),
        ("a: &b 1\nc: {?*b : 2}", "uses YAML aliases"),
        ("a: 1\nb: 2\na: 3", "the key 'a' stands twice (line 3, column 1)"),
        ("1: 1\n'1': 2", "two keys that read the same"),
        (
            "!!python/object/apply:collections.OrderedDict\n- - [a, 1]\n  - [a, 2]",
            "stands twice",
        ),
    ],
)
def test_yaml_that_is_unfit_is_refused(tmp_path: Path, document: str, reason: str) -> None:
    path = tmp_path / "config.yml"
    path.write_text(document)
    assert reason in reason_of(path)


def test_aliases_and_merge_keys_are_read_where_they_are_allowed() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]\nd: {e: &e {<<: *a, x: 4}}\nf: *e"
    assert plain_yaml(text, "t.yml", aliases=True) == yaml.safe_load(text)
    with pytest.raises(UnusableError, match=r"^t.yml uses YAML aliases, which are not read$"):
        plain_yaml(text, "t.yml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &a [*a]", "uses the YAML alias 'a' too early"),
        ("a: &a\n  <<: *a", "uses the YAML alias 'a' too early"),
        ("a: *b", "uses the YAML alias 'b' too early"),
        ("a: &a {x: 1, x: 2}\nb: *a", "the key 'x' stands twice (line 1, column 14)"),
    ],
)
def test_aliases_that_cannot_be_are_refused(text: str, reason: str) -> None:
    with pytest.raises(UnusableError) as error:
        plain_yaml(text, "t.yml", aliases=True)
    assert reason in str(error.value)


@pytest.mark.parametrize("use", ["x: [{}]", "<<: [{}]", "x: {{<<: [{}]}}"])
def test_what_aliases_unfold_to_is_bounded(use: str) -> None:
    # 10 keys, then 10 times as many on each line: 10⁹ on the ninth.
    text = "a0: &a0 {" + ", ".join(f"k{key}: 1" for key in range(10)) + "}\n"
    for line in range(1, 9):
        text += f"a{line}: &a{line}\n  " + use.format(", ".join([f"*a{line - 1}"] * 10)) + "\n"
    with pytest.raises(UnusableError, match="holds too many values"):
        plain_yaml(text, "t.yml", aliases=True)


def test_a_fault_is_told_with_its_place_and_without_the_name() -> None:
    with pytest.raises(YamlError) as error:
        plain_yaml("a: 1\nb: !!python/name:os.system x", "t.yml")
    assert error.value.place == "line 2, column 4"
    assert error.value.problem.startswith("could not determine a constructor")
    assert str(error.value) == f"t.yml is not read: {error.value.problem} (line 2, column 4)"


def test_deep_nesting_does_not_crash_the_parser(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    for document in ("a: " + "[" * 1_000_000, "- " * 1_000_000, "? " * 1_000_000):
        path.write_text(document)
        # By our own bound or by libyaml's, which newer ones have: the words are theirs to choose.
        assert reason_of(path).startswith("config.yml ")
        assert "\n" not in reason_of(path)


def test_sets_dates_and_bytes_become_plain_and_come_in_one_order(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("a: !!set {z, y, x}\nb: 2001-02-03 04:05:06\nc: !!omap [{d: 1}]\ne: 1:30")
    assert read_yaml(path) == {
        "a": ["x", "y", "z"],
        "b": "2001-02-03 04:05:06",
        "c": [["d", 1]],
        "e": 90,  # YAML 1.1's base sixty
    }


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{", "is not valid JSON (line 1, column 2)"),
        ("[1]", "does not hold an object"),
        ('{"a": ' + "1" * 5000 + "}", "is not read: a number of 5,000 characters"),
        ('{"a": ' + "[" * 60 + "]" * 60 + "}", "nested too deeply"),
        ('{"a": ' * 100_000, "cannot be read (RecursionError)"),
        ('{"a": [' + "1," * 100_001 + "1]}", "too many values"),
        ('{"a": 1, "b": 2, "a": 3}', "is not read: the key 'a' stands twice"),
        ('{"a": "\x00"}', "is not valid JSON"),
        ('{"\\ud800": 1, "\\ud801": 2}', "two keys that read the same"),
    ],
)
def test_json_that_is_unfit_is_refused(tmp_path: Path, document: str, reason: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(document)
    with pytest.raises(UnusableError) as error:
        read_json(path)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["a: 1".encode("utf-16"), b"a: \xff"])
def test_text_that_is_not_utf_8_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(content)
    assert reason_of(path) == "config.yml cannot be read (UnicodeDecodeError)"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_what_is_no_plain_file_is_refused_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    (tmp_path / "folder").mkdir()
    for target in ("pipe", "socket", "folder", "/dev/zero", "/dev/tty"):
        path.unlink(missing_ok=True)
        path.symlink_to(target)
        assert reason_of(path) == "config.yml is no file"
    for target, reason in (("none", "is missing"), ("config.yml", "cannot be read (OSError)")):
        path.unlink()
        path.symlink_to(target)
        assert reason_of(path) == f"config.yml {reason}"


def test_a_file_that_became_a_pipe_is_refused_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yml"
    path.write_text("a: 1")
    status = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(Path, "stat", lambda self: status)
    assert reason_of(path) == "config.yml is no file"


def test_a_file_whose_stated_size_is_too_small_is_still_bounded() -> None:
    """As files of a system are: /proc states 0 bytes."""
    path = Path("/proc/kallsyms")
    if not path.exists() or path.stat().st_size:
        pytest.skip("the system has no such file")
    with pytest.raises(UnusableError, match="is larger than 0 MB"):
        opening.read_text(path, 1000)


def test_a_line_without_end_is_refused_before_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("a\n" + "1" * (opening.MAX_LINE + 1))
    with pytest.raises(UnusableError, match=r"line 2 is longer than 100,000 characters"):
        list(opening.text_lines(path, "\n"))


def test_large_files_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yml"
    with path.open("wb") as file:
        file.truncate(opening.MAX_RECORD_BYTES + 1)  # a hole: takes no disk
    assert "is larger than 4 MB" in reason_of(path)
    archive = tmp_path / "evaluations.npz"
    np.savez_compressed(archive, timesteps=np.zeros(100_000, int), results=np.zeros((100_000, 1)))
    monkeypatch.setattr(archives, "MAX_ARRAY_BYTES", 100_000)
    assert archive.stat().st_size < 100_000  # a bomb: small on disk, large unfolded
    with pytest.raises(UnusableError, match="unfolds to more than"):
        read_evaluations(archive)


def test_a_link_to_itself_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "evaluations.npz").symlink_to("evaluations.npz")
    with pytest.raises(UnusableError, match=r"evaluations\.npz"):
        read_evaluations(tmp_path / "evaluations.npz")


def test_an_array_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evaluations.npz"
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("timesteps.npy", stream.getvalue())
    with pytest.raises(UnusableError, match="does not hold what it states"):
        read_arrays(path, ("timesteps",), "")


def test_what_an_archive_unfolds_to_is_bounded_as_floats_and_whatever_it_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "evaluations.npz"
    monkeypatch.setattr(archives, "MAX_ARRAY_BYTES", 100_000)
    np.savez_compressed(path, timesteps=np.array([1]), results=np.zeros((1, 12_000), np.int8))
    assert read_evaluations(path).episodes == 12_000
    np.savez_compressed(path, timesteps=np.array([1]), results=np.zeros((1, 13_000), np.int8))
    with pytest.raises(UnusableError, match="unfolds to more than"):
        read_evaluations(path)  # 104,000 bytes as float64
    monkeypatch.setattr(archives, "_CHUNK", 1_000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(50_000))
    with archives.open_archive(path, 10_000) as archive:
        assert archives.read_member(archive, "a", 50_000) == bytes(50_000)
        with pytest.raises(UnusableError, match="a unfolds to more than 0 MB"):
            archives.read_member(archive, "a", 49_999)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unfold_a_chunk_without_bound_are_refused(tmp_path: Path, method: int) -> None:
    path = tmp_path / "evaluations.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("timesteps.npy", b"x")
    with pytest.raises(UnusableError, match=r"timesteps\.npy is packed by a method"):
        read_evaluations(path)


def test_a_list_of_too_many_members_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "evaluations.npz"
    np.savez(path, timesteps=np.array([1]), results=np.ones((1, 2)))
    monkeypatch.setattr(archives, "_MAX_DIRECTORY_BYTES", 50)
    with pytest.raises(UnusableError, match="lists too many members"):
        read_evaluations(path)


def test_means_are_taken_of_every_evaluation_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "evaluations.npz"
    np.savez(path, timesteps=np.arange(7), results=np.arange(14).reshape(7, 2))
    monkeypatch.setattr(evaluations, "_VALUES", 5)  # two rows at a time
    np.testing.assert_array_equal(read_evaluations(path).returns, np.arange(7) * 2 + 0.5)


@pytest.mark.parametrize("key", ["timesteps", "results", "successes"])
def test_no_pickle_inside_an_archive_is_opened(tmp_path: Path, key: str) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    arrays: dict[str, np.ndarray] = {
        "timesteps": np.array([1]),
        "results": np.array([[1.0]]),
        "successes": np.array([[True]]),
    }
    arrays[key] = np.array([Trap()], dtype=object)
    path = tmp_path / "evaluations.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    with pytest.raises(UnusableError, match="pickled Python objects, which are never opened"):
        read_evaluations(path)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UnusableError, match="cannot be read"):
        read_evaluations(path)
    assert not (tmp_path / "sprung").exists()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_to_an_archive_makes_it_fail_in_another_way(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "evaluations.npz"
    save = data.draw(st.sampled_from([np.savez, np.savez_compressed]))
    save(path, timesteps=np.arange(3), results=np.ones((3, 2)), successes=np.ones((3, 2), bool))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    with contextlib.suppress(UnusableError):
        assert np.isfinite(read_evaluations(path).returns).all()


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(st.sampled_from("ab:-[]{}!&*<>|?'\"\n \t#%@,0.\x00é"), max_size=60),
)
def test_no_text_makes_yaml_fail_in_another_way(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "config.yml"
    path.write_text(text, encoding="utf-8")
    with contextlib.suppress(UnusableError):
        assert isinstance(read_yaml(path), dict)


def test_evaluations_that_a_record_states_are_read_as_an_archive_is(tmp_path: Path) -> None:
    results = np.array([[1.0, 3.0], [4.0, 8.0]])
    np.savez(tmp_path / "evaluations.npz", timesteps=[0, 50], results=results)
    stated = stated_evaluations({"steps": [0, 50], "returns": [2.0, 6.0], "last": [4, 8.0]})
    archived = read_evaluations(tmp_path / "evaluations.npz")
    for name in ("steps", "returns"):
        one, other = getattr(stated, name), getattr(archived, name)
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    assert (stated.episodes, stated.success_rate) == (archived.episodes, archived.success_rate)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"steps": [0]}, "as many steps as returns"),
        ({"steps": [], "returns": []}, "as many steps as returns"),
        ({"last": []}, "and the last episodes"),
        ({"steps": [50, 0]}, "go back"),
        ({"steps": [-1, 50]}, "below 0"),
        ({"steps": [0, 50.5]}, "not whole"),
        ({"steps": [0, 1e17]}, "go back or are below 0 or beyond"),
        ({"last": [4, 9.0]}, "the last return is not the mean of the last episodes"),
        ({"returns": [2.0, "6"]}, "lists of numbers"),
        ({"returns": [True, 6.0]}, "lists of numbers"),
        ({"returns": [float("nan"), 6.0]}, "beyond 1e"),
        ({"returns": [10**400, 6.0]}, "beyond 1e"),
        ({"returns": None}, "lists of numbers"),
    ],
)
def test_stated_evaluations_that_are_none_are_refused(
    changed: dict[str, object], reason: str
) -> None:
    stated = {"steps": [0, 50], "returns": [2.0, 6.0], "last": [4.0, 8.0], **changed}
    with pytest.raises(UnusableError, match=reason):
        stated_evaluations(stated)


@pytest.mark.parametrize("stated", [None, [], "text", 3])
def test_stated_evaluations_of_another_kind_are_refused(stated: object) -> None:
    with pytest.raises(UnusableError, match="lists of numbers"):
        stated_evaluations(stated)
