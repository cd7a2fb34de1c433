//! Library and binary concord: the API, jobs, configuration.
