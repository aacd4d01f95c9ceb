//! Message stores: the messages of one stream, in memory or in segment files.
