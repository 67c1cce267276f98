package org.penstock.connect;

import java.util.Optional;
import org.apache.kafka.connect.connector.ConnectRecord;

/** One form of records that a source connector gives. */
interface Shape {

    /** Tells whether a record with a value is of this form. */
    boolean accepts(ConnectRecord<?> record);

    /** Returns the change; nothing for a record that tells of no row. */
    Optional<Event> read(ConnectRecord<?> record);

    /** Returns the primary key in the key of a record of this form; null where it holds none. */
    Object key(ConnectRecord<?> record);
}
