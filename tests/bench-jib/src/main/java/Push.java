import com.google.cloud.tools.jib.api.Containerizer;
import com.google.cloud.tools.jib.api.Jib;
import com.google.cloud.tools.jib.api.JibContainerBuilder;
import com.google.cloud.tools.jib.api.RegistryImage;
import com.google.cloud.tools.jib.api.buildplan.AbsoluteUnixPath;
import com.google.cloud.tools.jib.api.buildplan.FileEntriesLayer;
import java.nio.file.Path;

/** {@code Push CACHE IMAGE USER PASSWORD LAYER...}: pushes an image with each directory as a layer. */
public final class Push {
  public static void main(String[] arguments) throws Exception {
    Path cache = Path.of(arguments[0]);
    JibContainerBuilder image = Jib.fromScratch();
    for (int index = 4; index < arguments.length; index++) {
      Path directory = Path.of(arguments[index]);
      image.addFileEntriesLayer(
          FileEntriesLayer.builder()
              .setName(directory.getFileName().toString())
              .addEntryRecursive(directory.resolve("app"), AbsoluteUnixPath.get("/app"))
              .build());
    }
    RegistryImage target = RegistryImage.named(arguments[1]).addCredential(arguments[2], arguments[3]);
    image.containerize(
        Containerizer.to(target)
            .setAllowInsecureRegistries(true)
            .setApplicationLayersCache(cache)
            .setBaseImageLayersCache(cache));
  }
}
