"""The add-on on this machine: timer, sockets, files, the backend as a process."""
