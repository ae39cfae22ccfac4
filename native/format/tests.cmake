ringtap_test(format SOURCES ${CMAKE_SOURCE_DIR}/native/test/format_test.cc LINK ringtap_format)
ringtap_test(writer SOURCES ${CMAKE_SOURCE_DIR}/native/test/writer_test.cc LINK ringtap_backend_file)
