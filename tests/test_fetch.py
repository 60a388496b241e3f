import functools
import hashlib
import http.server
import subprocess
import sys
import threading
import zipfile

import pandas as pd
import pytest

from conftest import write_inter
from latent_factors.data import fetch as fetching
from latent_factors.data import frappe
from latent_factors.data.atomic import read_atomic
from latent_factors.data.catalogue import Archive, Dataset, Wheel, catalogue
from latent_factors.data.fetch import fetch
from latent_factors.errors import UserError

INTER = b"user_id:token\titem_id:token\trating:float\n1\t2\t3\n"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def listed(monkeypatch, **entry) -> None:
    """Make the catalogue hold one data set, named made."""
    made = Dataset(title="made", terms="free", home="https://example.org", **entry)
    monkeypatch.setattr(fetching, "catalogue", lambda: {"made": made})


@pytest.fixture
def mirror(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("mirror")
    (folder / "made").mkdir()
    (folder / "made" / "made.inter").write_bytes(INTER)
    monkeypatch.setenv(fetching.MIRROR, str(folder))
    return folder


@pytest.fixture
def no_mirror(monkeypatch):
    monkeypatch.delenv(fetching.MIRROR, raising=False)


def nothing_left(project) -> bool:
    return not list((project / "data").iterdir()) and not (project / "build" / "fetch").exists()


def test_the_catalogue_is_well_formed():
    for name, entry in catalogue().items():
        sums = [*entry.files.values(), *(source.sha256 for source in (entry.wheel, entry.archive) if source)]
        assert sums or not (entry.wheel or entry.archive), name
        assert all(len(digest) == 64 and set(digest) <= set("0123456789abcdef") for digest in sums)
        assert entry.archive or not sums or f"{name}.inter" in entry.files


def test_a_set_whose_files_are_not_known_is_taken_as_it_is(project, mirror, monkeypatch):
    listed(monkeypatch, files={})
    assert fetch("made") == "data/made fetched from the mirror; terms: free"
    assert (project / "data" / "made" / "made.inter").read_bytes() == INTER
    assert fetch("made") == "data/made is there (not in the catalogue with fixed files: data.dvc pins it)"


def test_from_a_mirror_and_again(project, mirror, monkeypatch):
    listed(monkeypatch, files={"made.inter": sha256(INTER)})
    assert fetch("made") == "data/made fetched from the mirror; terms: free"
    assert (project / "data" / "made" / "made.inter").read_bytes() == INTER
    assert fetch("made") == "data/made is there and sound"


def test_a_set_outside_the_catalogue(project, mirror):
    (mirror / "made" / "made.item").write_bytes(b"item_id:token\n2\n")
    (mirror / "made" / "README.md").touch()
    assert "not in the catalogue, so unchecked" in fetch("made")
    assert sorted(path.name for path in (project / "data" / "made").iterdir()) == ["made.inter", "made.item"]
    assert "data.dvc pins it" in fetch("made")


def test_a_wrong_checksum_leaves_nothing(project, mirror, monkeypatch):
    listed(monkeypatch, files={"made.inter": sha256(b"other")})
    with pytest.raises(UserError, match=r"made.inter has SHA-256 \w{12}…, not \w{12}… as the catalogue says"):
        fetch("made")
    assert nothing_left(project)


def test_a_damaged_or_missing_file_under_data_is_named(project, mirror, monkeypatch):
    listed(monkeypatch, files={"made.inter": sha256(INTER)})
    fetch("made")
    path = project / "data" / "made" / "made.inter"
    path.write_bytes(INTER[:-3])
    with pytest.raises(UserError, match=r"made.inter has SHA-256 .* delete .*data/made and fetch it again"):
        fetch("made")
    path.unlink()
    with pytest.raises(UserError, match=r"made.inter is missing; delete .*data/made and fetch it again"):
        fetch("made")


def test_an_incomplete_mirror(project, mirror, monkeypatch):
    listed(monkeypatch, files={"made.inter": sha256(INTER), "made.item": sha256(b"")})
    with pytest.raises(UserError, match=r"made/made.item is missing; complete the mirror's folder"):
        fetch("made")
    assert nothing_left(project)


def test_a_mirror_that_is_no_folder(project, monkeypatch):
    monkeypatch.setenv(fetching.MIRROR, "/nowhere")
    with pytest.raises(UserError, match="names /nowhere, which is no folder"):
        fetch("ml-100k")


def test_an_unknown_set(project, no_mirror):
    done = subprocess.run(
        [sys.executable, "-m", "latent_factors.data.fetch", "ml-99"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: data set ml-99 is neither under data/ nor in the catalogue (ml-100k, ml-1m,")
    assert len(done.stderr.splitlines()) == 1


def test_no_network_and_no_mirror(project, no_mirror, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(UserError, match=r"pip could not download recbole==1.2.1, .* or set LATENT_FACTORS_MIRROR"):
        fetch("ml-100k")
    assert nothing_left(project)


def test_a_set_without_an_origin(project, no_mirror):
    with pytest.raises(UserError, match="yelp has no origin that can be fetched; get it from https"):
        fetch("yelp")
    assert nothing_left(project)


def test_a_wheel_with_another_checksum(project, no_mirror, monkeypatch, tmp_path):
    wheel = tmp_path / "made-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as files:
        files.writestr("made/data/made.inter", INTER)
        files.writestr("made-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: made\nVersion: 1.0\n")
        files.writestr("made-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        files.writestr("made-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    sums = {"files": {"made.inter": sha256(INTER)}}
    listed(monkeypatch, wheel=Wheel(requirement="made==1.0", sha256=sha256(b""), folder="made/data"), **sums)
    with pytest.raises(UserError, match=r"made-1.0-py3-none-any.whl has SHA-256"):
        fetch("made")
    assert nothing_left(project)
    right = Wheel(requirement="made==1.0", sha256=sha256(wheel.read_bytes()), folder="made/data")
    listed(monkeypatch, wheel=right, **sums)
    assert "from its origin" in fetch("made")
    assert [path.name for path in (project / "data" / "made").iterdir()] == ["made.inter"]


@pytest.fixture
def site(tmp_path):
    """A web site on this machine with two archives as GroupLens writes them."""
    (tmp_path / "site").mkdir()
    with zipfile.ZipFile(tmp_path / "site" / "dat.zip", "w") as files:
        files.writestr("made/ratings.dat", "1::7::5::978300760\n2::7::3::978302109\n")
        files.writestr("made/users.dat", "1::F::1::10::48067\n2::M::56::16::70072\n")
        files.writestr("made/movies.dat", "7::Misérables, Les (1995)::Drama|Musical\n".encode("latin-1"))
    with zipfile.ZipFile(tmp_path / "site" / "csv.zip", "w") as files:
        files.writestr("made/ratings.csv", "userId,movieId,rating,timestamp\n1,7,3.5,1112486027\n1,8,4.0,1112486028\n")
        films = 'movieId,title,genres\n7,"Say ""Hi"" (1999)",Comedy|Sci-Fi\n8,X,(no genres listed)\n'
        files.writestr("made/movies.csv", films)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "site")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path / "site", f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_from_the_owners_site(project, no_mirror, monkeypatch, site):
    folder, url = site
    sums = {path.name: sha256(path.read_bytes()) for path in folder.iterdir()}
    listed(monkeypatch, archive=Archive(url=f"{url}/dat.zip", sha256=sums["dat.zip"], layout="dat"))
    assert fetch("made").startswith("data/made fetched from its origin")
    made = project / "data" / "made"
    assert sorted(path.name for path in made.iterdir()) == ["made.inter", "made.item", "made.user"]
    assert read_atomic(made / "made.inter").to_numpy().tolist() == [["1", "7", 5, 978300760], ["2", "7", 3, 978302109]]
    assert read_atomic(made / "made.item").to_numpy().tolist() == [["7", "Misérables, Les", "1995", "Drama Musical"]]
    assert read_atomic(made / "made.user")["age"].tolist() == ["1", "56"]
    for path in made.iterdir():
        path.unlink()
    made.rmdir()
    listed(monkeypatch, archive=Archive(url=f"{url}/csv.zip", sha256=sums["csv.zip"], layout="csv"))
    fetch("made")
    assert read_atomic(made / "made.inter")["rating"].tolist() == [3.5, 4.0]
    assert read_atomic(made / "made.item").to_numpy().tolist() == [
        ["7", "Say 'Hi'", "1999", "Comedy Sci-Fi"], ["8", "X", None, None],
    ]


def test_a_bad_download_leaves_nothing(project, no_mirror, monkeypatch, site):
    _, url = site
    listed(monkeypatch, archive=Archive(url=f"{url}/dat.zip", sha256=sha256(b""), layout="dat"))
    with pytest.raises(UserError, match=r"dat.zip.*hash"):
        fetch("made")
    assert nothing_left(project)
    listed(monkeypatch, archive=Archive(url=f"{url}/none.zip", sha256=sha256(b""), layout="dat"))
    with pytest.raises(UserError, match=r"none.zip could not be downloaded \(HTTPError\)"):
        fetch("made")
    listed(monkeypatch, archive=Archive(url="http://127.0.0.1:9/x.zip", sha256=sha256(b""), layout="dat"))
    with pytest.raises(UserError, match=r"could not be downloaded \(ConnectionError\); connect to the network, or set"):
        fetch("made")
    assert nothing_left(project)


def test_an_archive_that_lacks_a_file(project, no_mirror, monkeypatch, site):
    folder, url = site
    digest = sha256((folder / "csv.zip").read_bytes())
    listed(monkeypatch, archive=Archive(url=f"{url}/csv.zip", sha256=digest, layout="dat"))
    with pytest.raises(UserError, match=r"lacks a file \(.*ratings.dat"):
        fetch("made")
    assert nothing_left(project)


def test_a_folder_that_cannot_be_written(project, mirror):
    (project / "build").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"could not be written \(Not a directory\); free space there or make it"):
        fetch("made")


def test_frappe_keeps_the_rows_whose_negatives_are_known(project):
    types = {"user_id": "token", "item_id": "token", "cost": "token", "label": "float", "split": "token"}
    table = pd.DataFrame({
        "user_id": ["a", "a", "b", "b"], "item_id": ["x", "y", "x", "z"], "cost": ["0", "1", "0", "0"],
        "label": [1.0, 1.0, 1.0, 0.0], "split": ["train", "valid", "test", "test"],
    })
    write_inter(project, "frappe", table.drop(columns="split"), types)
    with pytest.raises(UserError, match=r"frappe.inter has no column split, which tells complete rows"):
        frappe.main()
    assert not (project / "data" / "frappe-rated").exists()
    write_inter(project, "frappe", table, types)
    frappe.main()
    kept = read_atomic(project / "data" / "frappe-rated" / "frappe-rated.inter")
    assert list(kept) == ["user_id", "item_id", "label"]
    assert kept.to_numpy().tolist() == table[["user_id", "item_id", "label"]].to_numpy()[1:].tolist()
