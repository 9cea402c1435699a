"""Small files: whole or not at all, private, erased, locked."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from small_disk import fill

from salus import files
from salus.errors import DamagedFile, Refused, StorageError


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_atomic_write_replaces_the_whole_file_and_is_private(tmp_path):
    path = tmp_path / "f"
    files.write_atomic(path, b"first, longer")
    files.write_atomic(path, b"second")
    assert path.read_bytes() == b"second"
    assert mode_of(path) == 0o600
    assert os.listdir(tmp_path) == ["f"]


def test_an_error_while_writing_keeps_the_old_content_and_leaves_nothing(tmp_path):
    path = tmp_path / "f"
    files.write_atomic(path, b"old")
    with pytest.raises(KeyboardInterrupt), files.replacing(path) as file:  # noqa: PT012 - the interrupt comes in between
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_full_disk_keeps_the_old_content_and_says_what_to_do(small_disk):
    disk = small_disk(64)
    path = disk / "f"
    files.write_atomic(path, b"old")
    fill(disk)
    with pytest.raises(StorageError) as caught:
        files.write_atomic(path, bytes(8192))
    assert str(path) in str(caught.value)
    assert "No space left" in str(caught.value)
    assert "unchanged" in str(caught.value)
    assert "free some space" in str(caught.value)
    assert path.read_bytes() == b"old"
    assert sorted(os.listdir(disk)) == ["ballast", "f"]


def test_a_missing_directory_is_an_error_that_names_it(tmp_path):
    with pytest.raises(StorageError, match="nowhere"):
        files.write_atomic(tmp_path / "nowhere" / "f", b"x")


def test_the_replaced_version_is_overwritten_when_asked(tmp_path):
    path = tmp_path / "f"
    files.write_atomic(path, b"secret-of-old")
    with path.open("rb") as still_open:
        files.write_atomic(path, b"new", overwrite_old=True)
        assert still_open.read() == bytes(len(b"secret-of-old"))
    with path.open("rb") as still_open:
        files.write_atomic(path, b"newer")
        assert still_open.read() == b"new"


def test_a_replaced_version_that_another_name_holds_is_left_alone(tmp_path):
    path, snapshot = tmp_path / "f", tmp_path / "snapshot"
    files.write_atomic(path, b"kept by a snapshot")
    os.link(path, snapshot)
    files.write_atomic(path, b"new", overwrite_old=True)
    assert snapshot.read_bytes() == b"kept by a snapshot"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_killed_between_temporary_file_and_rename_leaves_old_or_new(tmp_path, when):
    path = tmp_path / "f"
    files.write_atomic(path, b"old")
    program = f"""
        import os, signal
        from pathlib import Path
        from salus import files
        rename = os.rename
        def killed(a, b):
            if {when!r} == "after":
                rename(a, b)
            os.kill(os.getpid(), signal.SIGKILL)
        os.rename = killed
        files.write_atomic(Path({str(path)!r}), b"new")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == (b"old" if when == "before" else b"new")
    assert files.remove_leftovers(tmp_path) == (1 if when == "before" else 0)
    assert os.listdir(tmp_path) == ["f"]


def test_leftovers_are_only_our_own_temporary_files(tmp_path):
    for name in (".hidden", ".f.tmp", "f.tmp", ".f.12-0123456789abcdef.tmp"):
        (tmp_path / name).write_bytes(b"x")
    assert files.remove_leftovers(tmp_path) == 1
    assert sorted(os.listdir(tmp_path)) == [".f.tmp", ".hidden", "f.tmp"]


def test_reading_is_bounded(tmp_path):
    (tmp_path / "f").write_bytes(b"12345")
    assert files.read_bounded(tmp_path / "f", 5, "a thing") == b"12345"
    with pytest.raises(DamagedFile, match="a thing"):
        files.read_bounded(tmp_path / "f", 4, "a thing")
    with pytest.raises(StorageError, match="does not exist"):
        files.read_bounded(tmp_path / "g", 4, "a thing")
    with pytest.raises(StorageError):
        files.read_bounded(tmp_path, 4, "a thing")


def test_key_files_are_private_and_never_overwritten(tmp_path):
    path = tmp_path / "keys" / "k"
    files.write_key_file(path, b"secret")
    assert mode_of(path) == 0o600
    assert mode_of(path.parent) == 0o700
    assert files.read_key_file(path, "the key") == b"secret"
    with pytest.raises(StorageError, match="never overwritten"):
        files.write_key_file(path, b"other")
    assert path.read_bytes() == b"secret"
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(StorageError, match="chmod 600"):
            files.read_key_file(path, "the key")


def test_directories_are_private_up_to_the_one_that_was_there(tmp_path):
    tmp_path.chmod(0o755)
    files.make_private_directory(tmp_path / "a" / "b" / "c")
    files.make_private_directory(tmp_path / "a" / "b" / "c")
    assert [mode_of(tmp_path / p) for p in ("", "a", "a/b", "a/b/c")] == [0o755, 0o700, 0o700, 0o700]
    (tmp_path / "file").write_bytes(b"")
    for taken in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError):
            files.make_private_directory(taken)


def test_erasing_overwrites_before_it_removes(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"secret" * 40_000)
    with path.open("rb") as still_open:
        assert files.erase(path)
        assert set(still_open.read()) == {0}
    assert not path.exists()
    assert not files.erase(path)


def test_erasing_does_not_follow_links(tmp_path):
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(StorageError):
        files.erase(tmp_path / "link")
    assert (tmp_path / "target").read_bytes() == b"precious"


def test_erasing_works_on_a_full_disk(small_disk):
    disk = small_disk(64)
    (disk / "secret").write_bytes(b"s" * 5000)
    fill(disk)
    assert files.erase(disk / "secret")
    assert not (disk / "secret").exists()


def test_the_lock_excludes_a_second_holder_and_names_the_first(tmp_path):
    with files.HomeLock(tmp_path / "home") as lock:
        with pytest.raises(files.Busy) as caught:
            files.HomeLock(tmp_path / "home")
        assert caught.value.pid == os.getpid()
        assert caught.value.reason == "busy"
        assert isinstance(caught.value, Refused)
        assert isinstance(caught.value, StorageError)
        assert str(os.getpid()) in str(caught.value)
    lock.release()
    files.HomeLock(tmp_path / "home").release()


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    program = f"""
        import sys, time
        from pathlib import Path
        from salus.files import HomeLock
        lock = HomeLock(Path({str(tmp_path)!r}))
        print("locked", flush=True)
        time.sleep(60)
    """
    holder = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(files.Busy) as caught:
            files.HomeLock(tmp_path)
        assert caught.value.pid == holder.pid
    finally:
        holder.kill()
        holder.wait()
    files.HomeLock(tmp_path).release()


def test_the_lock_holds_on_a_full_disk(small_disk):
    disk = small_disk(64)
    fill(disk)
    with files.HomeLock(disk), pytest.raises(files.Busy):
        files.HomeLock(disk)


def test_a_lock_file_with_rubbish_is_no_obstacle(tmp_path):
    (tmp_path / "lock").write_bytes(b"rubbish\xff")
    with files.HomeLock(tmp_path), pytest.raises(files.Busy):
        files.HomeLock(tmp_path)
