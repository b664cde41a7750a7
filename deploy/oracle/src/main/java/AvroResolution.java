import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Base64;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

/** What Avro's own library makes of bytes of one schema for a reader of another. */
final class AvroResolution {
    private AvroResolution() {
    }

    static ObjectNode answer(JsonNode question) throws IOException {
        Schema writer = schema(question, "writer");
        Schema reader = schema(question, "reader");
        byte[] bytes = Oracle.bytes(question, "bytes_b64");
        Object value = new GenericDatumReader<>(writer, reader).read(null, DecoderFactory.get().binaryDecoder(bytes, null));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(out, null);
        new GenericDatumWriter<>(reader).write(value, encoder);
        encoder.flush();
        return Oracle.JSON.createObjectNode().put("bytes_b64", Base64.getEncoder().encodeToString(out.toByteArray()));
    }

    private static Schema schema(JsonNode question, String name) {
        return new Schema.Parser().parse(Oracle.required(question, name).asText());
    }
}
