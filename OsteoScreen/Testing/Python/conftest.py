"""The fixtures that several files of tests share."""

from batch_archive import archive as archive
from batch_archive import undisturbed as undisturbed
from orthanc_server import orthanc as orthanc
from orthanc_server import orthanc_process as orthanc_process
