/**
 * Change events of every source in one standard form.
 *
 * <pre>
 *   connector ─record─▶ StandardEvent ─▶ a Shape (Debezium relational, Debezium MongoDB, mongo-kafka)
 *                                           │ Values, Times, ExtendedJson: types, truthfully
 *                                           ▼
 *                                         Event ─Json─▶ key and value as text ─▶ topic
 * </pre>
 *
 * <p>Never guesses: a record it does not understand is a {@code DataException} that names topic,
 * source position and column, and Connect's {@code errors.tolerance} decides. Never changes topic or
 * partition. Bundles nothing: Jackson and Connect are the worker's own.
 */
package org.penstock.connect;
