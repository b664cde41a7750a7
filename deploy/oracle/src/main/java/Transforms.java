import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** What a chain of transforms makes of a record. */
final class Transforms {
    private Transforms() {
    }

    static ObjectNode answer(JsonNode question) {
        throw new UnsupportedOperationException("not asked yet: " + question);
    }
}
