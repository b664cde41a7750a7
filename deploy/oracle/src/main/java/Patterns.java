import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** What java.util.regex makes of a pattern. */
final class Patterns {
    private Patterns() {
    }

    static ObjectNode answer(JsonNode question) {
        throw new UnsupportedOperationException("not asked yet: " + question);
    }
}
