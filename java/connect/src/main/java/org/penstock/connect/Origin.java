package org.penstock.connect;

/**
 * Where and when a change happened.
 *
 * @param namespace schema (or database) and table, with a dot between them
 * @param timeMs when the source committed it, since 1970; 0 where the source does not tell
 * @param sequence the source's own order, growing for every key; null where it has none
 */
record Origin(String namespace, long timeMs, Long sequence) {}
