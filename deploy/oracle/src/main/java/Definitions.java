import java.lang.reflect.Field;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.runtime.SinkConnectorConfig;
import org.apache.kafka.connect.runtime.SourceConnectorConfig;
import org.apache.kafka.connect.runtime.standalone.StandaloneConfig;

/**
 * Prints Kafka Connect's own definitions of framework keys, one a line. Its output is what
 * data-plane/runtime/src/config/connect.txt holds; after deploy/rig/kafka.sh fetch, made anew with
 * java -cp '.rig/kafka/libs/*' deploy/oracle/src/main/java/Definitions.java
 */
public class Definitions {
    public static void main(String[] args) throws ReflectiveOperationException {
        print("source", SourceConnectorConfig.configDef());
        print("sink", SinkConnectorConfig.configDef());
        Field standalone = StandaloneConfig.class.getDeclaredField("CONFIG");
        standalone.setAccessible(true);
        print("worker", (ConfigDef) standalone.get(null));
    }

    private static void print(String title, ConfigDef definition) {
        System.out.println("# " + title);
        for (ConfigDef.ConfigKey key : definition.configKeys().values()) {
            String value = key.hasDefault() ? "" + ConfigDef.convertToString(key.defaultValue, key.type) : "(required)";
            // A validator without a description of its own shows where it lies in memory.
            String valid = String.valueOf(key.validator);
            valid = valid.contains("@") || valid.isEmpty() ? "null" : valid;
            System.out.println(String.join(" | ", key.name, key.type.name(), value, key.importance.name(), "" + key.group,
                "" + key.orderInGroup, key.width.name(), key.displayName, valid));
        }
    }
}
