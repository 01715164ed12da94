"""In and out of a PACS by DICOMweb: find studies, fetch them, send results.  Nothing is sent unless it is asked for.

`servers` and `credentials` say who is talked to, and as whom; `transport` is the connection; `finding`, `fetching` and
`storing` use it; `address` names a study on a server. This file imports none of them, because a screening that needs
no server shall not wait for an HTTP library.

HTTP is that of requests, searches are those of dicomweb-client. Objects are fetched and stored here, because that
client parses and encodes them anew on the way (so that they are not the bytes that were stored), takes a message that
is cut short for a whole one, and does not try again after a lost connection.
"""
