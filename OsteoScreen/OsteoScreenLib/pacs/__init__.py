"""In and out of a PACS by DICOMweb: find studies, fetch them, send results.  Nothing is sent unless it is asked for.

What a program uses, from any thread but one at a time for a connection; every failure is an `OsteoScreenError` whose
text is for the user and names no patient::

    server = servers.find_server("https://host/dicom-web", ca_file=None)   # or a name of servers.named_servers()
    with transport.Connection(server) as connection:                       # credentials: environment, else keyring
        studies, more = finding.find_studies(connection, finding.Wanted(patient_id="4711", modality="CT"), most=50)
        series = finding.find_series(connection, studies[0].uid)
        fetched = fetching.fetch_study(connection, studies[0].uid, folder, series[0].uid, progress)
        results = storing.send_objects(connection, storing.objects_at([folder]), progress)

`FoundStudy` and `FoundSeries` are rows for a table, `Fetched` says what lies in the folder, and each `Stored` what
became of an object. ``progress(step, done, total)`` is called in the calling thread and cancels by raising;
``connection.stop()`` cancels from another thread. What was transferred until then stays, and the same call goes on from
there with a new `Connection`. ``credentials.store`` and ``credentials.forget`` keep and remove a password;
`address` names a study on a server in one word.

This file imports none of these modules, because a screening that needs no server shall not wait for an HTTP library.

HTTP is that of requests, searches are those of dicomweb-client. Objects are fetched and stored here, because that
client parses and encodes them anew on the way (so that they are not the bytes that were stored), holds them in memory,
takes a message that is cut short for a whole one, and does not try again after a lost connection.
"""
