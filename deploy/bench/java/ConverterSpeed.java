package bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.storage.Converter;

/**
 * What a record costs in a converter of the JVM: ConverterSpeed CLASS TOPIC FILE KEY=VALUE.. with the converter's settings. FILE has messages in
 * base64, a line each. Answers {@code decode N} and {@code encode N} on standard input with the nanoseconds that each of N records took, in the
 * mean; the messages are taken again and again. Called as a task does it, with headers. Ends where what it writes is not what FILE has.
 */
public final class ConverterSpeed {
    private ConverterSpeed() {
    }

    public static void main(String[] args) throws ReflectiveOperationException, IOException {
        String topic = args[1];
        byte[][] messages = Files.readAllLines(Path.of(args[2])).stream().map(Base64.getDecoder()::decode).toArray(byte[][]::new);
        Map<String, String> config = new HashMap<>();
        for (String setting : List.of(args).subList(3, args.length)) {
            config.put(setting.substring(0, setting.indexOf('=')), setting.substring(setting.indexOf('=') + 1));
        }
        Converter converter = (Converter) Class.forName(args[0]).getConstructor().newInstance();
        converter.configure(config, false);
        SchemaAndValue[] records = new SchemaAndValue[messages.length];
        for (int i = 0; i < messages.length; i++) {
            records[i] = converter.toConnectData(topic, new RecordHeaders(), messages[i]);
            byte[] written = converter.fromConnectData(topic, new RecordHeaders(), records[i].schema(), records[i].value());
            if (!Arrays.equals(written, messages[i])) {
                throw new IllegalStateException("message " + i + " is " + Arrays.toString(messages[i]) + ", and was written as " + Arrays.toString(written));
            }
        }
        System.out.println("ready");
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] asked = line.split(" ");
            int count = Integer.parseInt(asked[1]);
            System.out.println(asked[0].equals("decode") ? decode(converter, topic, messages, count) : encode(converter, topic, records, count));
        }
    }

    private static double decode(Converter converter, String topic, byte[][] messages, int count) {
        int check = 0;
        long began = System.nanoTime();
        for (int i = 0; i < count; i++) {
            check += System.identityHashCode(converter.toConnectData(topic, new RecordHeaders(), messages[i % messages.length]).schema());
        }
        return each(began, count, check);
    }

    private static double encode(Converter converter, String topic, SchemaAndValue[] records, int count) {
        int check = 0;
        long began = System.nanoTime();
        for (int i = 0; i < count; i++) {
            SchemaAndValue record = records[i % records.length];
            check += converter.fromConnectData(topic, new RecordHeaders(), record.schema(), record.value()).length;
        }
        return each(began, count, check);
    }

    /** Whatever was made is used, so that no compiler finds it to be for nothing. */
    private static double each(long began, int count, int check) {
        double each = (double) (System.nanoTime() - began) / count;
        if (check == 0) {
            System.err.println("nothing was made");
        }
        return each;
    }
}
