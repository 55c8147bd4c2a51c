"""A peer: plain ``requests`` as people write it. ``requests_get.py URLS DESTINATION AT_ONCE [CA]``."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter

PIECE = 1024 * 1024


def main() -> None:
    urls = Path(sys.argv[1]).read_text(encoding="utf-8").split()
    folder, at_once = Path(sys.argv[2]), int(sys.argv[3])
    session = requests.Session()
    session.trust_env = False
    if len(sys.argv) > 4:
        session.verify = sys.argv[4]
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=at_once))

    def fetch(url: str) -> None:
        with session.get(url, stream=True, timeout=60) as answer, open(folder / url.rpartition("/")[2], "wb") as out:
            answer.raise_for_status()
            out.writelines(answer.iter_content(PIECE))

    if len(urls) == 1:
        fetch(urls[0])
        return
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(fetch, urls))


main()
