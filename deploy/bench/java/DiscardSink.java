package bench;

import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.sink.SinkConnector;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTask;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Takes every record, counts it and forgets it: what Dray's blackhole does, for the real Connect. */
public class DiscardSink extends SinkConnector {
    private Map<String, String> config;

    @Override public String version() { return "1"; }
    @Override public void start(Map<String, String> config) { this.config = config; }
    @Override public Class<? extends Task> taskClass() { return DiscardTask.class; }
    @Override public List<Map<String, String>> taskConfigs(int maxTasks) { return Collections.nCopies(maxTasks, config); }
    @Override public void stop() { }
    @Override public ConfigDef config() { return new ConfigDef(); }

    public static class DiscardTask extends SinkTask {
        private static final Logger log = LoggerFactory.getLogger(DiscardTask.class);
        private String name;
        private long received;
        private Object last; // kept, so that no compiler finds the conversion to be for nothing

        @Override public String version() { return "1"; }
        @Override public void start(Map<String, String> config) { name = config.get("name"); }
        @Override public void put(Collection<SinkRecord> records) {
            for (SinkRecord record : records) { received++; last = record.value(); }
        }
        @Override public void stop() { log.info("discard task of {} took records={} last={}", name, received, last == null ? null : last.getClass()); }
    }
}
