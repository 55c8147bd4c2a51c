"""What Packhorse is tested with, for those who build on it: a server that goes wrong, and lines that are slow.

* `packhorse.testing.faults`: a loopback HTTP server that cuts, lies and stalls on schedule and keeps count;
* `packhorse.testing.link`: delay, rate and loss, emulated in user space, the same for every program.

Nothing here takes anything from Packhorse's own HTTP code, so that both cannot be wrong in the same way.

A client that resumes needs no byte twice when a connection is cut:

>>> import http.client
>>> from packhorse.testing.faults import Cut, FaultServer, GeneratedFile, Schedule
>>> file = GeneratedFile(1_000_000, seed=42)
>>> with FaultServer({"reads.fastq.gz": file}, Schedule.of(Cut(at=400_000))) as server:
...     have = b""
...     while len(have) < file.size:
...         connection = http.client.HTTPConnection(*server.address)
...         connection.request("GET", "/reads.fastq.gz", headers={"Range": f"bytes={len(have)}-"})
...         try:
...             have += connection.getresponse().read()
...         except http.client.IncompleteRead as cut:
...             have += cut.partial
...         connection.close()
>>> have == file.read(), server.body_bytes_sent("reads.fastq.gz") - file.size, server.cuts[0].open_connections
(True, 0, 1)
>>> [(record.range, record.status, record.body_sent) for record in server.log]
[('bytes=0-', 206, 400000), ('bytes=400000-', 206, 600000)]
"""
