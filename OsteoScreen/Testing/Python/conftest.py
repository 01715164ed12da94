"""The fixtures that several files of tests share."""

from orthanc_server import orthanc as orthanc
from orthanc_server import orthanc_process as orthanc_process
