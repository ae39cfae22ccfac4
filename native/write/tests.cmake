ringtap_test(writer SOURCES ${CMAKE_SOURCE_DIR}/native/test/writer_test.cc LINK ringtap_backend_file ringtap_write)
